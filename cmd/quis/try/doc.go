// Package try is the commands that use quis as an application would: they sign in, ask for
// tokens, hold them against what the specifications say, and show what is in a token.
//
// They speak to the public endpoints, and to the administration API only to look an
// application up. Secrets and tokens come from files, the environment or standard input,
// never from the command line, which every process of the machine can read; tokens are
// shown decoded, without the signature that would make them worth something.
package try
