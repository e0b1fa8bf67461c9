// Package oauth is the part of the administration API that is about applications: who
// they are, what they may ask for, who may use them, and what people have allowed them.
//
// One file for each resource; [Routes] is the table of all. The dispatcher of package
// admin knows who calls, and for which tenant; nothing here asks again.
//
// Invariant: nothing is accepted that would not be held. A setting whose other half is
// not built is refused with that reason.
package oauth
