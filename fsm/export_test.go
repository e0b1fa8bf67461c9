package fsm

// KeepAfter is how many transactions a state has served before it keeps what they read.
const KeepAfter = keepAfter
