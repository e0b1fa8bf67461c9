// Package archive is the commands that make, restore and schedule backups, and the one
// that recovers a cluster of which most is lost.
//
// What an archive is and what a recovery does is in cluster/backup and cluster/recovery.
package archive
