package factor

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"form.check": "Something needs another look.",
	"form.back":  "Back",

	"fact.added":  "Added on %s",
	"fact.used":   "Last used %s",
	"fact.unused": "Not used yet",

	"apps.title":        "Authenticator apps",
	"apps.lead":         "An app on your telephone that shows a new code every 30 seconds. Who has only your password cannot get in.",
	"apps.add":          "Add an authenticator app",
	"apps.closed":       "Your organisation does not use authenticator apps. Choose another way.",
	"apps.added":        "Your authenticator app is added.",
	"apps.renamed":      "The new name is saved.",
	"apps.removed":      "The authenticator app is removed. Delete the account in the app as well.",
	"apps.change":       "Change",
	"apps.change.label": "Change %s",

	"left.only_way":    "This is your only way to sign in. Add another one first.",
	"left.only_factor": "Your organisation asks for a second factor, and this is your only one. Add another one first.",

	"apps.new.title":  "Add an authenticator app",
	"apps.new.lead":   "You need an app for codes, such as Google Authenticator, Aegis, 2FAS, or your password manager.",
	"apps.scan":       "Scan this with the app",
	"apps.qr":         "QR code to scan with the authenticator app",
	"apps.open":       "Open the app on this device",
	"apps.key":        "You cannot scan it? Type this key into the app",
	"apps.key.kind":   "Time based, SHA-1, 6 digits, 30 seconds.",
	"apps.prove":      "Then show that it works",
	"apps.code":       "Code from the app",
	"apps.code.hint":  "Six digits.",
	"apps.code.wrong": "That code is not right. Enter the one that the app shows now. If none fits, set the clock of your telephone to automatic.",
	"apps.expired":    "That took too long. Here is a new QR code; scan this one.",
	"apps.many":       "You have as many authenticator apps as are allowed. Remove one first.",
	"apps.name":       "Name",
	"apps.name.hint":  "For you to know it by, such as the telephone that it is on.",
	"apps.submit":     "Add it",

	"apps.rename":       "Save the name",
	"apps.remove.title": "Remove it",
	"apps.remove.lead":  "Its codes stop working. On devices that you trusted, you are asked for a second factor again.",
	"apps.remove":       "Remove",

	"codes.title":   "Recovery codes",
	"codes.lead":    "Codes on paper for the day on which your telephone is gone. Each works once.",
	"codes.make":    "Make recovery codes",
	"codes.again":   "Make new codes",
	"codes.left":    "%d of %d codes left",
	"codes.few":     "few left",
	"codes.made":    "Made on %s",
	"codes.why":     "With one of these codes you get in when your telephone is gone. You see them once: print them or write them down, and keep them where you keep your passport.",
	"codes.replace": "New codes take the place of those that you have. The old ones stop working at once.",
	"codes.show":    "Show me ten codes",
	"codes.once":    "This is the only time that you see these codes. Print this page, save them, or write them down now.",
	"codes.list":    "Your recovery codes",
	"codes.save":    "Save as a text file",
	"codes.done":    "I have them",
	"codes.later":   "Not now",
	"codes.of":      "Recovery codes for %s at %s",

	"devices.title":        "Trusted devices",
	"devices.lead":         "Browsers in which you are not asked for a second factor. End what you do not know.",
	"devices.until":        "Trusted until %s",
	"devices.revoke":       "Stop trusting",
	"devices.revoke.label": "Stop trusting %s",
	"devices.revoke_all":   "Stop trusting all of them",
	"devices.revoked":      "That device is not trusted any more.",
	"devices.revoked_all":  "No device is trusted any more.",
}
