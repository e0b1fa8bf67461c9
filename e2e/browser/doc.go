// Package browser signs a person in with a real browser: headless Chromium
// against three real nodes. It looks at what a program can see (where the person
// ends up, that no content-security-policy violation occurs, that nothing is cut
// off at 320 px) and, with QUIS_SCREENSHOTS set to a folder, keeps pictures for a
// human eye, light and dark, wide and narrow.
package browser
