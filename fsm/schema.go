package fsm

import "fmt"

// A Definition is a table, counter or journal that a store is opened with.
// The rooms export theirs; names and numbers are checked for collisions at Open.
type Definition interface{ definition() definition }

// A definition is what the store knows about one: numbers are for ever, names are for people.
type definition struct {
	num  uint16
	name string
	life life
}

func checkSchema(defs []Definition) (map[uint16]string, error) {
	byNum := make(map[uint16]string, len(defs))
	byName := make(map[string]bool, len(defs))
	for _, d := range defs {
		def := d.definition()
		if def.num == 0 {
			return nil, fmt.Errorf("schema: %s has no number", def.name)
		}
		if other, ok := byNum[def.num]; ok {
			return nil, fmt.Errorf("schema: %s and %s share the number %d", other, def.name, def.num)
		}
		if byName[def.name] {
			return nil, fmt.Errorf("schema: two definitions are named %s", def.name)
		}
		byNum[def.num], byName[def.name] = def.name, true
	}
	return byNum, nil
}

// mustKnow panics if a room uses a table that the store was not opened with:
// cmd/daemon or a test forgot to list it.
func (db *DB) mustKnow(num uint16, name string) {
	if db.schema[num] != name {
		panic(fmt.Sprintf("fsm: %s (%d) is not in the schema this store was opened with", name, num))
	}
}
