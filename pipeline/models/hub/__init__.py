"""Where weights come from: hub, local folder, package; and what is refused."""
