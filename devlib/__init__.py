"""Line-state operations suite: devices, lines and their states over real networks."""
