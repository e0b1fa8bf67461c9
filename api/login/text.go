package login

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages. They say what happened and what to do
// next, and never whether a name is known here.
var english = page.Texts{
	"home.title":        "Start",
	"home.greeting":     "Hello, %s",
	"home.signed_in":    "The applications that trust this place will let you in without asking again.",
	"person.as":         "Signed in as",
	"home.sign_out":     "Sign out",
	"home.applications": "Connected applications",
	"home.approvals":    "Waiting for you",
	"home.device":       "Connect a device",
	"home.question":     "Who are you?",
	"home.explain":      "This is where you prove it, once, for all the applications that trust this place.",
	"home.sign_in":      "Sign in",

	"sign_in.title":    "Sign in",
	"sign_in.heading":  "Sign in",
	"sign_in.continue": "to continue to %s",
	"sign_in.username": "Username or email",
	"sign_in.password": "Password",
	"sign_in.submit":   "Sign in",
	"sign_in.mail":     "Email me a code instead",
	"sign_in.passkey":  "Sign in with a passkey",
	"sign_in.wrong":    "That name and password do not match. Check both and try again.",

	"sign_in.passkey.wrong": "That passkey did not let you in. Try again, or sign in another way.",

	"second.title":           "One more step",
	"second.heading":         "One more step",
	"second.as":              "You are signing in as %s.",
	"second.restart":         "Not you? Start again",
	"second.submit":          "Continue",
	"second.others":          "Something else instead",
	"second.empty":           "Enter the code.",
	"second.totp.wrong":      "That code is not right, or it was used already. Enter the one that your app shows now.",
	"second.recovery.wrong":  "That is not one of your recovery codes, or it was used already.",
	"second.passkey.wrong":   "That passkey did not let you in. Try again, or choose another way.",
	"second.totp.lead":       "Open your authenticator app and enter the code that it shows now.",
	"second.totp.code":       "Code from the app",
	"second.totp.choose":     "Use your authenticator app",
	"second.passkey.lead":    "Use your passkey or security key.",
	"second.passkey.choose":  "Use a passkey",
	"second.recovery.lead":   "Enter one of the recovery codes that you kept. Each works once.",
	"second.recovery.code":   "Recovery code",
	"second.recovery.choose": "Use a recovery code",

	"mail.title":   "Check your email",
	"mail.heading": "Check your email",
	"mail.lead":    "If %s has a confirmed email address here, a code is on its way to it. It works for ten minutes.",
	"mail.code":    "Code from the email",
	"mail.wrong":   "That code is not right, or it is too old. Check it, or have another sent.",
	"mail.submit":  "Continue",
	"mail.link":    "You followed the link in the email. Press the button to sign in here.",
	"mail.again":   "Send another code",
	"mail.restart": "Start again",

	"leaving.title":     "Signing you in",
	"leaving.heading":   "Signing you in…",
	"leaving.detail":    "You should be taken on at once.",
	"leaving.detail_to": "You should be taken on to %s at once.",
	"leaving.link":      "Continue",

	"posting.detail": "You should be taken on to %s at once. If nothing happens, press the button.",

	"account.title":   "Choose an account",
	"account.heading": "Which account?",
	"account.keep":    "Continue as %s",
	"account.another": "Use another account",

	"dead.title":  "This page no longer works",
	"dead.detail": "Signing in took too long, was finished already, or was begun in another browser. Go back to the application and start again.",
	"dead.link":   "Go to the start page",

	"wait.title":  "Please wait a little",
	"wait.detail": "There were too many attempts to sign in. You can try again in %s.",
	"wait.link":   "Back to the form",

	"sign_out.title":      "Sign out",
	"sign_out.heading":    "Sign out?",
	"sign_out.everywhere": "On all my devices, too",
	"sign_out.submit":     "Sign out",
	"sign_out.back":       "Stay signed in",

	"signed_out.title":      "You are signed out",
	"signed_out.detail":     "Your session on this device has ended.",
	"signed_out.detail_all": "All your sessions have ended, on every device.",
	"signed_out.link":       "Sign in again",
	"signed_out.frame":      "An application signs you out",

	"denied.title":  "This application is not open to you",
	"denied.detail": "You are signed in, but you may not use %s. If you think you should, ask your administrator.",
	"denied.link":   "Back to %s",

	"form.unreadable": "Your browser sent something that could not be read. Go back and try again.",

	"setup.title":         "First administrator",
	"setup.heading":       "You go first",
	"setup.lead":          "Make the first account. It may administer everything here; the others come later.",
	"setup.username":      "Username",
	"setup.email":         "Email",
	"setup.name":          "Full name",
	"setup.password":      "Password",
	"setup.password.hint": "Longer is better: a few words of your own are easy to keep and hard to guess.",
	"setup.repeat":        "The same password again",
	"setup.differ":        "The two passwords are not the same.",
	"setup.check":         "Something needs another look.",
	"setup.submit":        "Create account",

	"setup_dead.title":  "This link no longer works",
	"setup_dead.detail": "A setup link works once and for an hour. Make a new one with “quis setup-link” on one of the nodes.",
}
