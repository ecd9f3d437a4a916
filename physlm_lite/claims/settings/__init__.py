"""The settings of experiments: a file a task, with the task at every scale."""
