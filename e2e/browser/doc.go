// Package browser signs a person in with a real browser: headless Chromium
// against three real nodes. It looks at what a program can see (where the person
// ends up, that no content-security-policy violation occurs, that nothing is cut
// off at 320 px or out of reach of a keyboard) and, with QUIS_SCREENSHOTS set to a
// folder, keeps pictures for a human eye, light and dark, wide and narrow, and in
// colours that a system forces.
//
// METHODS.md says which test enrols, uses and removes each way to sign in, and in which flows nodes
// die, PAGES.md which picture shows each page; tests read both, so that neither leaves anything out.
//
// What is about the pages alone, or about hours that pass, is tested on one store in the
// process of the test, whose clock can be set; what is about nodes, on real ones.
package browser
