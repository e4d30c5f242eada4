"""From a policy that learns on two cores to one that needs a GPU, or several: precision, adapters, shards."""
