package logout

// Hear is what the reader does with one event.
var Hear = (*Room).hear
