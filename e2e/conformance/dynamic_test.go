package conformance

const noRegistration = "dynamic registration is not there yet"

var dynamicPlan = []module{
	{name: "oidcc-idtoken-rs256", why: noRegistration},
	{name: "oidcc-idtoken-unsigned", why: noRegistration},
	{name: "oidcc-userinfo-rs256", why: noRegistration},
	{name: "oidcc-ensure-redirect-uri-in-authorization-request", check: func(c *check) { c.shown(c.ask("redirect_uri", "")) }},
	{name: "oidcc-redirect-uri-query-OK", why: noRegistration},
	{name: "oidcc-redirect-uri-query-mismatch", why: noRegistration},
	{name: "oidcc-redirect-uri-query-added", check: func(c *check) { c.shown(c.ask("redirect_uri", callback+"?foo=bar")) }},
	{name: "oidcc-redirect-uri-regfrag", why: noRegistration},
	{name: "oidcc-discovery-endpoint-verification", check: discovery},
	{name: "oidcc-server", why: noRegistration},
	{name: "oidcc-registration-logo-uri", why: noRegistration},
	{name: "oidcc-registration-policy-uri", why: noRegistration},
	{name: "oidcc-registration-tos-uri", why: noRegistration},
	{name: "oidcc-registration-jwks-uri", why: noRegistration},
	{name: "oidcc-registration-sector-uri", why: noRegistration},
	{name: "oidcc-registration-sector-bad", why: noRegistration},
	{name: "oidcc-server-rotate-keys", why: noRegistration},
	{name: "oidcc-refresh-token-rp-key-rotation", why: noRegistration},
	{name: "oidcc-request-uri-unsigned", why: "unsigned request objects are refused by design"},
	{name: "oidcc-request-uri-signed-rs256", why: "request_uri is not fetched by design: PAR carries what is too long for a URL"},
	{name: "oidcc-ensure-request-object-with-redirect-uri", why: "request objects are not there yet"},
	{name: "oidcc-refresh-token", check: refresh},
	{name: "oidcc-ensure-client-assertion-with-iss-aud-succeeds", why: "private_key_jwt is not there yet"},
}
