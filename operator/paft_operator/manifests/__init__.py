"""From an attempt that should start to the objects that carry it in a cluster: pure builders of JSON manifests."""
