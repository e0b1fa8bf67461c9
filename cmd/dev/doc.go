// Package dev runs a whole quis on a developer's machine: one to seven nodes as
// real child processes of this one, a round-robin proxy on the issuer's port, and
// the demo application.
//
// Everything binds to loopback, at ports that stand at fixed distances from the issuer's (Options.Port),
// so that several houses live on one machine. The nodes are the same binary started with
// "server" and a configuration file of their own, so what works here works the
// same in production. Each child holds the read end of a pipe as its standard
// input and ends when it closes: however this process dies, no node lingers.
// Each child has its own process group, so a Ctrl-C reaches it only through here.
//
// Other terminals steer it through the socket DIR/dev.sock (kill, stop, start,
// status). It touches nothing in DIR but what it made there.
package dev
