// Package layout holds no code: its tests are the rules of the house. They read
// the source of the whole module and fail when a floor imports one above it, a
// third-party module leaves the room that it is confined to, a package has no
// comment, or a file, function or room has outgrown what a person can hold in
// mind. The tables in layout_test.go are the rules; README and CONTRIBUTING
// only quote them.
package layout
