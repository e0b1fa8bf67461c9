package join

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"account.title":         "Make your account",
	"account.lead":          "It will belong to %s.",
	"account.name":          "Name",
	"account.username":      "Username",
	"account.username.hint": "Leave it empty to sign in with your email address.",
	"account.password":      "Password",
	"account.submit":        "Make the account",
	"account.passkey":       "Use a passkey instead of a password",
	"account.taken":         "There is an account with this address already. Sign in with it.",

	"passkey.title":     "Make a passkey",
	"passkey.lead":      "Your browser asks where to keep it: on this device, on your phone or on a security key.",
	"passkey.submit":    "Create passkey",
	"passkey.cancelled": "It was cancelled or took too long. Try again.",
	"passkey.exists":    "There is a passkey for this account on that device already.",
	"passkey.unfit":     "That device cannot make such a passkey. Use your phone or a security key.",
	"passkey.failed":    "The passkey could not be made. Load this page again and try once more.",
	"passkey.unable":    "This browser cannot make passkeys here. Use another browser or device.",
	"passkey.password":  "Use a password instead",

	"address.title":    "Make an account",
	"address.continue": "to continue to %s",
	"address.lead":     "Enter your email address. A code is sent to it, so that nobody uses an address that is not theirs.",
	"address.email":    "Email",
	"address.submit":   "Send the code",
	"address.sign_in":  "You have an account? Sign in",

	"code.title":   "Check your email",
	"code.lead":    "A message is on its way to %s. Type the code from it here, or follow its link. Both work for ten minutes.",
	"code.link":    "You followed the link in the message to %s. Press the button to go on.",
	"code.code":    "Code from the email",
	"code.wrong":   "That code is not right, or it is too old. Check it, or have another sent.",
	"code.submit":  "Continue",
	"code.again":   "Send another code",
	"code.restart": "Use another address",

	"closed.title":  "This is not open here",
	"closed.detail": "You cannot make yourself an account here. Ask your administrator for an invitation.",
	"used.title":    "This invitation no longer works",
	"used.detail":   "It was used, taken back, or has expired. If you have made your account with it, sign in. If not, ask whoever invited you for another.",
	"late.title":    "This page no longer works",
	"late.detail":   "It took too long, or was finished already. Begin again.",
	"message.home":  "Go to the start page",
}
