// Package letter is what is written to people: for each kind of letter a subject and the
// same words as plain text and as HTML, in the person's language.
//
// It knows nothing of addresses, servers and events. All words are in one table (texts.go),
// by language; a language that lacks one falls back on English, which lacks none.
//
// Invariants: a subject holds no secret and nothing that a stranger chose, for it is shown
// on locked screens and in notifications. The HTML refers to nothing outside, so that
// nobody learns whether and when a letter was read. What varies is data, never a template.
package letter
