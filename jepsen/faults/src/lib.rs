//! Faults for real processes: networks, disks, clocks and files that misbehave on demand.
