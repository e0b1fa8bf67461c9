// Package people is the part of the admin API that brings people in, and back in: invitations,
// imports of many at a time, and recoveries; and that lets an administrator act as one of them.
//
// What an import refuses is said row by row, and takes nothing from the other rows. A
// request is one transaction of at most maxRows rows; whoever has more sends more requests.
//
// Not here: single users, which are the room above's, and the rules, which are the
// directory's.
package people
