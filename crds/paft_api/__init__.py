"""The contract of PAFT: the PaftJob resource, what one stage is told, and what it reports back."""
