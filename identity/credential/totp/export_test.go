package totp

// Code is the code of a time step.
func Code(p Parameters, secret []byte, step int64) string { return p.code(secret, step) }

// Typed is a code as it was meant.
func Typed(s string) string { return typed(s) }
