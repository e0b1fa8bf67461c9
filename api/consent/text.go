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

	"scope.openid":         "know who you are",
	"scope.profile":        "see your name and language",
	"scope.email":          "see your email address",
	"scope.groups":         "see which groups you are in",
	"scope.offline_access": "do all this while you are away, until you take it back",
	"scope.other":          "use the permission “%s”",

	"from.unknown": "an unknown address",
	"from.agent":   "%s, which calls itself “%s”",
	"ago.now":      "less than a minute ago",
	"ago.minute":   "a minute ago",
	"ago.minutes":  "%d minutes ago",

	"form.unreadable": "Your browser sent something that could not be read. Go back and try again.",
}
