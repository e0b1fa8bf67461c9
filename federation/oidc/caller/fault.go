package caller

// A Fault says in plain ASCII why a request is not believed; its sender may read it.
type Fault struct {
	// Malformed: the request contradicts itself (invalid_request). Grant: what it asks on the
	// strength of is no good (invalid_grant). Otherwise its sender is not who it says, as far as
	// can be seen (invalid_client).
	Malformed, Grant bool
	Reason           string
}

func (f *Fault) Error() string { return f.Reason }

func unknown(reason string) error { return &Fault{Reason: reason} }

var (
	errClient  = unknown("Client authentication failed.")
	errMethods = &Fault{Malformed: true, Reason: "More than one way of client authentication was used."}
	errMethod  = unknown("The application is registered with another token_endpoint_auth_method than the one used.")
)
