package consent

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"person.as": "Signed in as",
	"home.link": "Go to the start page",

	"code.title":   "Connect a device",
	"code.lead":    "Type in the code that your device shows.",
	"code.label":   "Code",
	"code.hint":    "Eight letters. Capitals and the dash do not matter.",
	"code.submit":  "Continue",
	"code.wrong":   "No device waits with this code. Check it, or have the device show a new one: a code is good for ten minutes.",
	"code.limited": "There were too many codes that did not fit. Wait a little, then type in what your device shows.",

	"device.title":   "Let this device in?",
	"device.lead":    "%s wants to act in your name on the device that shows this code:",
	"device.warning": "Go on only if you have this device before you and began this yourself. Nobody who helps you, and nobody from support, ever needs you to type in a code.",
	"device.other":   "The device is in another network than this browser. That is usual with a telephone, and it is also how strangers’ devices look.",
	"device.from":    "Asked from",
	"device.begun":   "Begun",
	"device.may":     "It will be able to:",
	"device.allow":   "Let it in",
	"device.deny":    "No, refuse",

	"device.allowed.title":  "The device is let in",
	"device.allowed.detail": "It goes on by itself within a few seconds. You can close this page.",
	"device.denied.title":   "The device is refused",
	"device.denied.detail":  "It gets nothing. If you did not begin this yourself, tell your administrator.",

	"gone.title":  "There is nothing to decide any more",
	"gone.detail": "It was decided already, its time is over, or the question was shown to somebody else. Begin again from the device or the application.",

	"approvals.title":   "Waiting for you",
	"approvals.lead":    "Allow only what you began yourself, and compare the words with those that the application shows you.",
	"approvals.none":    "Nothing waits for your approval.",
	"approvals.again":   "Look again",
	"approvals.message": "It says",
	"approvals.begun":   "Asked",
	"approvals.may":     "It will be able to:",
	"approvals.allow":   "Allow",
	"approvals.deny":    "Refuse",
	"approvals.allowed": "You have allowed it. The application goes on by itself.",
	"approvals.denied":  "You have refused it. The application gets nothing.",

	"asks.api":    "Use “%s” in your name",
	"scope.other": "Use the permission “%s”",

	"question.title":        "Allow access",
	"question.heading":      "Allow %s to use your account?",
	"question.unverified":   "This application has registered itself, and nobody here has checked who is behind it. Allow it only if you began this yourself and know where you are sent back to.",
	"question.document":     "It describes itself at",
	"question.may":          "It will be able to:",
	"question.choose":       "And, if you like:",
	"question.sensitive":    "sensitive",
	"question.claims":       "Know these things about you: %s",
	"question.apis":         "At",
	"question.target":       "You return to",
	"question.scheme":       "an application on this device (%s)",
	"question.other":        "Not you?",
	"question.allow":        "Allow",
	"question.deny":         "Refuse",
	"question.policy":       "Its privacy policy",
	"question.terms":        "Its terms",
	"question.hint":         "You can take this back at any time, in your account under “Connected applications”.",
	"question.gone.title":   "This page no longer works",
	"question.gone.detail":  "It was answered already, it is too old, or what it was about is no more. Go back to the application and start again.",
	"question.other.title":  "This question was not put to you",
	"question.other.detail": "You have signed in anew, or out, or as somebody else, since the page was shown. Go back to the application and start again.",

	"leaving.title":  "One moment…",
	"leaving.detail": "You should be taken back to the application at once.",
	"leaving.link":   "Continue",

	"connected.title":        "Connected applications",
	"connected.lead":         "These applications can use your account. Access that you remove ends at once, wherever they are running.",
	"connected.none":         "No application uses your account at present.",
	"connected.may":          "It can:",
	"connected.since":        "Since",
	"connected.until":        "Asks again after",
	"connected.revoke":       "Remove access",
	"connected.revoke.label": "Remove access: %s",
	"connected.revoked":      "The access is removed. The application has to ask you anew.",

	"from.unknown": "an unknown address",
	"from.agent":   "%s, which calls itself “%s”",
}
