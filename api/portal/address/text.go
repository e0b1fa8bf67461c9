package address

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"title":          "Change your email address",
	"lead":           "A link is sent to your current address, and one to the new one. Your address changes when both were followed.",
	"lead.unproved":  "A link is sent to the new address. It becomes yours when you have followed it.",
	"now":            "Your address is %s.",
	"own.lead":       "%s is not confirmed yet. A link is sent there; the address is confirmed when you have followed it.",
	"own.submit":     "Confirm this address",
	"own.other":      "Or another address",
	"new":            "New email address",
	"submit":         "Send the links",
	"closed":         "No mail is sent from here, so you cannot prove an address. Ask your administrator to change it.",
	"meanwhile":      "Somebody else has got this address in the meantime. Choose another.",
	"waiting.title":  "Waiting to be confirmed",
	"waiting.lead":   "Your address changes to %s when all of this is confirmed. The links are good for a day.",
	"waiting.own":    "%s is confirmed when you have followed the link. It is good for a day.",
	"waiting.open":   "not confirmed yet",
	"waiting.done":   "confirmed",
	"again":          "Send new links",
	"cancel":         "Keep the current address",
	"lost":           "You cannot read mail at your current address any more? Ask your administrator to change it.",
	"done.sent":      "Messages are on their way. Follow the links in them, in this browser or where you can sign in.",
	"done.half":      "Thank you. Now follow the link in the other message.",
	"done.changed":   "Your email address is changed.",
	"done.confirmed": "Your email address is confirmed.",
	"done.cancelled": "Your email address stays as it is.",
	"confirm.title":  "Confirm the change",
	"confirm.old":    "Shall the address of your account change from %s to %s?",
	"confirm.new":    "Is %s your address, and shall your account have it?",
	"confirm.submit": "Yes, confirm",
	"confirm.no":     "No, keep my address",
	"dead.title":     "This link no longer works",
	"dead.detail":    "It was used, is older than a day, or belongs to another account than the one that you are signed in to.",
}
