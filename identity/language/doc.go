// Package language speaks to people in their own: which languages there are, which one
// somebody reads, and the sentences of a room in each of them.
//
// A room writes its sentences in English, as a table of Go, and keeps the translations
// beside it in texts/de.json and so on; [New] reads both. A sentence holds %s for a word
// and %d for a whole number, which is written as the language does; a translation may
// change their order with %[2]s. A sentence that depends on a number has one entry for
// each plural form that the language has (CLDR): "wait.days#one", "wait.days#other", in
// Polish also "#few" and "#many"; the first number decides, and a form that stands for
// one number alone may leave it out.
//
// [Catalogue.Faults] is what a test of the room looks at: a sentence that a language
// lacks or has for nothing, and one whose words and numbers are others than in English.
//
// Not here: how a request says what its person reads (api/page), and what is said.
package language
