// Package shape lets Go types and their tags say once what requests and answers look
// like: [Read] and [Bind] hold requests to it, [Schemas] describes it to others.
//
// Tags beside json, path and query: doc (description), required:"true", min and max (of
// a number its value, of a text or list its length), enum:"a|b", default, example
// (of a list: its entries, separated by spaces), and item_min, item_max, item_enum for the
// entries of a list.
//
// Every fault is reported at once, with its JSON pointer, and never with the value that
// was sent: it may be a password. Rules that need more than the one value are not here.
package shape
