package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Error codes registered for OAuth 2.0 and OpenID Connect; no other leaves this package.
const (
	codeInvalidRequest          = "invalid_request"
	codeInvalidClient           = "invalid_client"
	codeInvalidGrant            = "invalid_grant"
	codeUnauthorizedClient      = "unauthorized_client"
	codeUnsupportedGrantType    = "unsupported_grant_type"
	codeInvalidScope            = "invalid_scope"
	codeAccessDenied            = "access_denied"
	codeUnsupportedResponseType = "unsupported_response_type"
	codeServerError             = "server_error"
	codeUnavailable             = "temporarily_unavailable"
	codeLoginRequired           = "login_required"
	codeRequestNotSupported     = "request_not_supported"
	codeRequestURINotSupported  = "request_uri_not_supported"
	codeRegistrationUnsupported = "registration_not_supported"
	codeInvalidRequestURI       = "invalid_request_uri"
	codeInvalidRequestObject    = "invalid_request_object"
	codeUnmetAuthentication     = "unmet_authentication_requirements"
	codeInvalidToken            = "invalid_token"
	codeInsufficientScope       = "insufficient_scope"
	codeUnsupportedToken        = "unsupported_token_type" // RFC 7009, section 2.2.1
	codePending                 = "authorization_pending"  // RFC 8628, section 3.5, like the two below
	codeSlowDown                = "slow_down"
	codeExpiredToken            = "expired_token"
	codeUnknownUser             = "unknown_user_id" // OpenID CIBA Core, section 13, like the one below
	codeInvalidMessage          = "invalid_binding_message"
	codeInvalidTarget           = "invalid_target"
	codeInvalidDetails          = "invalid_authorization_details"
	codeConsentRequired         = "consent_required"
	codeInvalidDPoP             = "invalid_dpop_proof"
	codeUseDPoPNonce            = "use_dpop_nonce"
)

var statusOf = map[string]int{
	codeInvalidRequest: 400, codeInvalidClient: 401, codeInvalidGrant: 400, codeUnauthorizedClient: 400,
	codeUnsupportedGrantType: 400, codeInvalidScope: 400, codeAccessDenied: 403, codeUnsupportedResponseType: 400,
	codeServerError: 500, codeUnavailable: 503, codeLoginRequired: 400, codeRequestNotSupported: 400,
	codeRequestURINotSupported: 400, codeRegistrationUnsupported: 400, codeInvalidToken: 401, codeInsufficientScope: 403,
	codeUnsupportedToken: 400, codePending: 400, codeSlowDown: 400, codeExpiredToken: 400, codeUnknownUser: 400, codeInvalidMessage: 400,
	codeInvalidRequestURI: 400, codeInvalidRequestObject: 400, codeUnmetAuthentication: 400,
	codeInvalidTarget: 400, codeInvalidDetails: 400, codeConsentRequired: 400,
	codeInvalidDPoP: 400, codeUseDPoPNonce: 400,
}

// refuse returns an error for the client. detail must be plain ASCII without quotes or backslashes (RFC 6749, section 5.2).
func refuse(code, detail string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{ErrorField: code, DescriptionField: detail, CodeField: statusOf[code]}
}

// registered turns any error into one with a registered code: our own pass,
// kinds that mean "not now" become 503, the rest 500 without detail.
func registered(err error) *fosite.RFC6749Error {
	var e *fosite.RFC6749Error
	if err = faulty(err); errors.As(err, &e) {
		if _, ok := statusOf[e.ErrorField]; ok {
			return e
		}
		return fromFosite(e)
	}
	if unavailable(err) {
		return refuse(codeUnavailable, "The service cannot decide this right now, try again.")
	}
	if errors.Is(err, identity.ErrLimited) {
		return refuse(codeUnavailable, "Too many requests, try again later.")
	}
	return refuse(codeServerError, "Something went wrong on our side.")
}

// fromFosite maps what the pipeline itself may report.
func fromFosite(e *fosite.RFC6749Error) *fosite.RFC6749Error {
	if e.CodeField >= http.StatusInternalServerError || e.CodeField == 0 {
		return refuse(codeServerError, "Something went wrong on our side.")
	}
	return refuse(codeInvalidRequest, "The request is malformed.")
}

// unavailable reports whether err says nothing about the request but that it cannot be decided now.
func unavailable(err error) bool {
	for _, kind := range []error{
		fsm.ErrUnavailable, fsm.ErrUnknown, fsm.ErrConflict, fsm.ErrClosed,
		context.DeadlineExceeded, context.Canceled, seal.ErrSealed,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
