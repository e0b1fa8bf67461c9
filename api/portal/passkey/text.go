package passkey

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"title":            "Passkeys",
	"lead":             "Sign in with your fingerprint, your face or the PIN of your device. There is nothing to type, and nothing that you could tell a stranger.",
	"add":              "Add a passkey",
	"added":            "Added on %s",
	"used":             "Last used %s",
	"never":            "Not used yet",
	"synced":           "Kept for all your devices by the app that stores it",
	"bound":            "Stays on one device",
	"second":           "Asked for after your password",
	"refused.copied":   "Not accepted any more: there may be a copy of it. Remove it and add a new one.",
	"refused.denied":   "Not accepted any more: your organization does not accept this kind. Remove it and add another one, or ask your administrator.",
	"refused.unproved": "Not accepted: your organization accepts only certain kinds, and of which this is was never confirmed. Remove it and add it anew, or ask your administrator.",
	"refused.unsafe":   "Not accepted any more: this kind has been reported as unsafe. Remove it and add another one, or ask your administrator.",
	"refused":          "not accepted",
	"change":           "Change",
	"about":            "Change %s",

	"new.lead":   "Your browser asks where to keep it: on this device, on your phone or on a security key.",
	"new.name":   "Name",
	"new.hint":   "For you to know it again, such as Laptop or Blue key.",
	"new.submit": "Create passkey",
	"new.unable": "This browser cannot make passkeys here. Use another browser or device.",

	"key.link":    "A key without a PIN? Add it as your second step.",
	"key.add":     "Add a security key",
	"key.lead":    "You are asked for it after your password. It needs no PIN or fingerprint.",
	"key.submit":  "Add security key",
	"key.instead": "Add a passkey instead",

	"fault.cancelled": "It was cancelled or took too long. Try again.",
	"fault.exists":    "There is a passkey for this account on that device already.",
	"fault.unfit":     "That device cannot make such a passkey. Use your phone or a security key.",
	"fault.failed":    "The passkey could not be made. Load this page again and try once more.",

	"one.save":    "Save the name",
	"one.remove":  "Remove",
	"one.removal": "It will not sign you in any more, and devices that you trust ask for the second step again.",

	"done.added":   "Your passkey is added. From now on you can sign in with it.",
	"done.key":     "Your security key is added. From now on you are asked for it after your password.",
	"done.renamed": "Your passkey has its new name.",
	"done.removed": "The passkey is removed.",
	"offer.title":  "Next time without a password",
	"offer.lead":   "With a passkey you sign in with your fingerprint, your face or the PIN of this device. It takes a moment to make one.",
	"offer.later":  "Not now",
	"offer.done":   "Your passkey is added. You are taken on at once.",
	"offer.on":     "Continue",
}
