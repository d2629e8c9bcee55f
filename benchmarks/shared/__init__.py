"""What several questions use: the machine, child processes, memory, clocks, stsb-en, the peers."""
