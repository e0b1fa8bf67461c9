// Package inbox is where the mail of a developer's machine ends: a directory of files that
// all nodes of a quis dev share, and pages that show it at /dev/mail.
//
// A node in development mode serves it to whoever can reach the node, which is this machine
// alone; no other node has it. The HTML of a letter is shown as a document of its own, in a
// sandbox that runs and loads nothing.
package inbox
