"""The visual stem."""

import torch

from sim_train.policies.vision import FilmStem, film, spatial_softmax


def test_spatial_softmax_points_at_the_peak():
    maps = torch.zeros(1, 2, 5, 5)
    maps[0, 0, 1, 4] = 50.0  # row 1, column 4
    points = spatial_softmax(maps, torch.ones(2))
    torch.testing.assert_close(points[0], torch.tensor([1.0, 0.0, -0.5, 0.0]))  # x of both, then y of both


def test_film_with_zeros_is_no_change():
    maps = torch.randn(2, 3, 4, 4)
    assert torch.equal(film(maps, torch.zeros(2, 6)), maps)


def test_the_instruction_changes_what_is_looked_at():
    torch.manual_seed(0)
    stem = FilmStem(8, (4, 8, 8))
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    one, other = (stem(image, text) for text in (torch.ones(1, 8), -torch.ones(1, 8)))
    assert one.shape == (1, 16)
    assert (one.abs() <= 1).all()
    assert not torch.allclose(one, other)
