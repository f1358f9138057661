"""PaftJobs in a cluster, as the command line reads and changes them. `kubernetes` is imported when it is needed."""
