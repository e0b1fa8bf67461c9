package letter

import (
	"embed"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

// Texts are the words of one language by key. In braces stands what varies: {place},
// {person}, {what}, {application}, {minutes}, {until}.
type Texts map[string]string

//go:embed texts
var translations embed.FS

// Catalogue is every language there is, by its tag: English from here, the others from
// texts/de.json and so on.
var Catalogue = func() map[string]Texts {
	all := map[string]Texts{"en": english}
	for _, t := range language.All {
		if t == language.Source {
			continue
		}
		var texts Texts
		b, err := translations.ReadFile("texts/" + string(t) + ".json")
		if err == nil {
			err = json.Unmarshal(b, &texts)
		}
		if err != nil {
			panic("letter: " + err.Error()) // our own file is broken
		}
		all[string(t)] = texts
	}
	return all
}()

const fallback = "en"

// spoken returns the tag of the language that comes nearest to locale, or English.
func spoken(locale string) string {
	for tag := strings.ToLower(locale); tag != ""; {
		if _, ok := Catalogue[tag]; ok {
			return tag
		}
		i := strings.LastIndexAny(tag, "-_")
		tag = tag[:max(i, 0)]
	}
	return fallback
}

// words are the texts of one letter.
type words struct {
	lang string
	fill *strings.Replacer
}

func (w words) of(n Name, part string) string { return w.text(string(n) + "." + part) }

// text returns a text with what varies put in: once, so that nothing put in is read again.
func (w words) text(key string) string {
	s, ok := Catalogue[w.lang][key]
	if !ok {
		s = english[key]
	}
	return w.fill.Replace(s)
}

// on stands in Data.Browser between a browser and its system, which are names in every language.
const on = " on "

func replacer(d Data) *strings.Replacer {
	short := func(s string) string { return identity.Printable(s, maxData) }
	browser, system, _ := strings.Cut(d.Browser, on)
	return strings.NewReplacer("{browser}", short(browser), "{system}", short(system), "{place}", short(d.Place), "{person}", short(d.Person), "{what}", short(d.What),
		"{until}", Moment(d.Until), "{application}", short(d.Application), "{minutes}", strconv.Itoa(d.Minutes))
}

var english = Texts{
	"greeting":      "Hello,",
	"greeting.name": "Hello {person},",
	"foot":          "{place} sent you this because of your account there. Nobody reads answers to it.",

	"foot.stranger": "{place} sent you this because somebody gave this address there. Nobody reads answers to it.",

	"fact.when":    "When",
	"fact.what":    "What",
	"fact.ready":   "Possible from",
	"fact.may":     "What it may do",
	"fact.until":   "Good until",
	"fact.browser": "Browser",
	"fact.ip":      "Network address",
	"browser.on":   "{browser} on {system}",

	"scope.me":      "See and change your own account",
	"scope.read":    "Look at whatever you may look at",
	"scope.write":   "Everything that you may do",
	"until.revoked": "it is revoked",

	"kind.totp":        "Authenticator app “{what}”",
	"kind.passkey":     "Passkey “{what}”",
	"kind.key":         "Security key “{what}”",
	"kind.certificate": "Certificate “{what}”",
	"kind.approver":    "Browser that may approve sign-ins: “{what}”",

	"alarm.lead":   "Was it not you? Then use this link. You are asked once more; after that everybody is signed out of your account, and you choose a new password.",
	"alarm.button": "This wasn't me",

	"test.subject": "Mail from {place} works",
	"test.lead":    "This is the test message that you asked for. The settings for mail are right.",

	"sign_in_code.subject": "Your code for {place}",
	"sign_in_code.lead":    "Somebody, most likely you, wants to sign in at {place}. Type this code there:",
	"sign_in_code.button":  "Sign in",
	"sign_in_code.more":    "Code and link are good for {minutes} minutes, and only in the browser in which they were asked for.\nNever give them to anybody: nobody from {place} will ask you for them. If you did not ask for them, do nothing.",
	"sign_in_code.alone":   "The code is good for {minutes} minutes, and only in the browser in which it was asked for.\nNever give it to anybody: nobody from {place} will ask you for it. If you did not ask for it, do nothing.",

	"sign_in_link.subject": "Your link for {place}",
	"sign_in_link.lead":    "Somebody, most likely you, wants to sign in at {place}. Follow this link in the browser in which it was asked for:",
	"sign_in_link.button":  "Sign in",
	"sign_in_link.more":    "The link is good for {minutes} minutes, and in no other browser.\nNever give it to anybody: nobody from {place} will ask you for it. If you did not ask for it, do nothing.",

	"verify_email.subject": "Confirm your address for {place}",
	"verify_email.lead":    "Somebody, most likely you, wants to make an account with this address at {place}. Type this code there:",
	"verify_email.button":  "Confirm this address",
	"verify_email.more":    "It is good for {minutes} minutes. If you did not ask for it, do nothing: no account is made.",

	"recovery.subject": "Getting back into {place}",
	"recovery.lead":    "Somebody, most likely you, cannot sign in at {place} any more and wants to get back in. Type this code there:",
	"recovery.button":  "Get back in",
	"recovery.more":    "Code and link are good for {minutes} minutes, and only in the browser in which they were asked for.\nNever give them to anybody: nobody from {place} will ask you for them. If you did not ask for them, do nothing.",

	"invitation.subject": "You are invited to {place}",
	"invitation.lead":    "An administrator of {place} invites you to make yourself an account there. Begin with the link below.",
	"invitation.button":  "Make my account",
	"invitation.more":    "The link works once, until {until}. If you do not know {place}, do nothing.",

	"new_sign_in.subject": "A new sign-in at {place}",
	"new_sign_in.lead":    "Somebody signed in to your account from a browser that has not been used for it before.",
	"new_sign_in.more":    "If it was you, there is nothing to do.",

	"password_set.subject": "Your password for {place} was changed",
	"password_set.lead":    "The password of your account was set or changed.",
	"password_set.more":    "If it was you, or you asked an administrator for it, there is nothing to do.",

	"password_first.subject": "Your account at {place} has a password now",
	"password_first.lead":    "A password was set for your account, which had none before.",
	"password_first.more":    "If it was you, or you asked an administrator for it, there is nothing to do.",

	"password_removed.subject": "Your password for {place} was removed",
	"password_removed.lead":    "Your account has no password any more. The former one no longer works.",
	"password_removed.more":    "If it was you, there is nothing to do: sign in with a passkey, or whatever else you have set up.",

	"factor_added.subject": "A new way to sign in at {place}",
	"factor_added.lead":    "A new way to sign in was added to your account.",
	"factor_added.more":    "If it was you, there is nothing to do.",

	"factor_removed.subject": "A way to sign in at {place} was removed",
	"factor_removed.lead":    "A way to sign in was removed from your account.",
	"factor_removed.more":    "If it was you, or you asked an administrator for it, there is nothing to do.",

	"email_changed.subject": "Your address at {place} was changed",
	"email_changed.lead":    "Another email address now belongs to your account. This message goes to the former and to the new one.",
	"email_changed.more":    "If it was you, there is nothing to do.",

	"recovery_started.subject": "Somebody wants to get back into your account at {place}",
	"recovery_started.lead":    "Somebody says that the ways to sign in to your account are lost. From the time below on they can get in without them.",
	"recovery_started.more":    "If it was you, or you asked an administrator for it, there is nothing to do. If not, stop it now.",

	"recovery_finished.subject": "Your account at {place} was recovered",
	"recovery_finished.lead":    "Somebody has recovered your account and can sign in to it again.",
	"recovery_finished.more":    "If it was you, there is nothing to do.",

	"recovery_cancelled.subject": "The recovery of your account at {place} was stopped",
	"recovery_cancelled.lead":    "Nobody can get into your account any more without your ways to sign in: what somebody had begun was stopped.",
	"recovery_cancelled.more":    "If it was you who wanted to get back in and did not stop it, ask your administrator.",

	"passkey_suspicious.subject": "One of your passkeys for {place} may have been copied",
	"passkey_suspicious.lead":    "A passkey of your account was used in a way that a single one cannot be. There may be a copy of it. It cannot be used until you decide.",
	"passkey_suspicious.more":    "Sign in another way and remove it. If you do not know what this is about, ask your administrator.",

	"recovery_code_used.subject": "A recovery code for {place} was used",
	"recovery_code_used.lead":    "Somebody signed in to your account with one of your recovery codes.",
	"recovery_code_used.more":    "If it was you, see that you have codes left.",

	"recovery_codes_added.subject": "New recovery codes for {place}",
	"recovery_codes_added.lead":    "A new set of recovery codes was made for your account. The former ones no longer work.",
	"recovery_codes_added.first":   "A set of recovery codes was made for your account.",
	"recovery_codes_added.more":    "If it was you, keep them in a safe place.",

	"recovery_codes_removed.subject": "Your recovery codes for {place} were removed",
	"recovery_codes_removed.lead":    "The recovery codes of your account were removed. None of them works any more.",
	"recovery_codes_removed.more":    "If it was you, or you asked an administrator for it, there is nothing to do. Destroy what you have printed or saved of them.",

	"token_created.subject": "A new access token for {place}",
	"token_created.lead":    "An access token was made for your account. Whoever has it can use your account with programs, without your password and without a second factor.",
	"token_created.more":    "If it was you, or you asked an administrator for it, there is nothing to do. You can revoke it in your account, under “Access tokens”.",

	"impersonated.subject": "An administrator of {place} acts as you",
	"impersonated.lead":    "An administrator has begun to act as you, as if they were signed in as you, for an hour at most. They cannot change how you sign in.",
	"impersonated.more":    "All that they do is recorded with their name. You see it under “Activity” in your account.\nIf you did not expect this, ask your administrators.",

	"alarm_raised.subject": "Your account at {place} was locked down",
	"alarm_raised.lead":    "Somebody followed the “This wasn't me” link in a message to you. Everybody is signed out of your account, no browser is trusted any more, and the password must be changed.",
	"alarm_raised.more":    "If it was not you who did that, do not worry: nothing was given away. Sign in and choose a new password.",

	"email_change_old.subject": "Is your address at {place} to be changed?",
	"email_change_old.lead":    "Somebody, most likely you, wants another email address for your account. It changes only after both addresses were confirmed, this one and the new one.",
	"email_change_old.button":  "Confirm the change",
	"email_change_old.more":    "The link is good for a day. If you did not ask for this, do not confirm it: your address stays.",

	"email_change_new.subject": "Confirm your new address for {place}",
	"email_change_new.lead":    "Somebody, most likely you, wants to use this address for their account at {place}.",
	"email_change_new.button":  "Confirm this address",
	"email_change_new.more":    "The link is good for a day, and only for whoever is signed in to that account. If you did not ask for it, do nothing: your address will not be used.",

	"address_taken.subject": "You have an account at {place}",
	"address_taken.lead":    "Somebody, most likely you, wanted to use this address at {place}. It belongs to an account already, so nothing was changed.",
	"address_taken.button":  "Sign in",
	"address_taken.more":    "If you do not remember your password, you can say so at the sign-in page.\nIf it was not you, there is nothing to do.",
}
