"""What a training step costs on a chip where nobody can run a profiler: closed forms, with no tensor and no clock."""
