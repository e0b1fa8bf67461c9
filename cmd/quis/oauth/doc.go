// Package oauth is the commands about what applications may ask for and who may become
// one: `quis scope`, `quis resource`, `quis registration`.
//
// What the fields mean is the server's to say; here they are read and printed. The value
// of an initial access token is shown once.
package oauth
