"""What stages tell experiment trackers: TensorBoard's event files always, Weights & Biases and MLflow where a job asks
for them. What goes wrong here is told in the log and stops nothing.
"""
