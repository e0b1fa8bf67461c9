package process

// powerFaults are those of a disk that can lose what was not synced.
func powerFaults() []fault { return nil }
