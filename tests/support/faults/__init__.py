"""What goes wrong in tests: engines that misbehave, disks that fail, writers that come back, readers that are slow."""
