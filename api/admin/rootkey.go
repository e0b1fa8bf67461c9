package admin

func (a *API) rootKeys() []route {
	return []route{
		{Method: "GET", Path: "/cluster/root-key", Needs: ofInstallation, Op: "showRootKey", Summary: "The fingerprints of the root keys on every node, and how far their replacement is.", Do: handle(a.showRootKey)},
	}
}

type rootKeyStatus struct {
	InUse     string          `json:"in_use" doc:"Fingerprint of the root key that the node asked uses."`
	Others    []string        `json:"others" doc:"Further ones that it accepts."`
	Former    []string        `json:"former" doc:"Ones that everything was under before the latest change, as long as they open it still."`
	Members   []rootKeyMember `json:"members" doc:"The nodes."`
	Items     []rootKeyItem   `json:"items" doc:"What hangs on the root key."`
	Wrapped   bool            `json:"wrapped" doc:"Whether every node uses that key, and everything is wrapped under it."`
	Droppable bool            `json:"droppable" doc:"Whether the other keys may go from the root key files."`
	Step      string          `json:"step" doc:"What comes next, in words."`
}

type rootKeyMember struct {
	ID      string   `json:"id" doc:"Node ID."`
	Keys    []string `json:"keys" doc:"Fingerprints of its root keys, the one in use first."`
	Waiting string   `json:"waiting,omitempty" doc:"What the replacement waits for at this node."`
}

type rootKeyItem struct {
	Name string   `json:"name" doc:"What it is."`
	Keys []string `json:"keys" doc:"Fingerprints of the root keys that open it."`
}

func (a *API) showRootKey(c *call, _ *none) (*rootKeyStatus, error) {
	s, err := a.cfg.RootKeys.Status(c.Ctx)
	if err != nil {
		return nil, err
	}
	out := &rootKeyStatus{
		InUse: s.InUse, Others: append([]string{}, s.Others...), Former: append([]string{}, s.Former...), Members: []rootKeyMember{}, Items: []rootKeyItem{},
		Wrapped: s.Wrapped, Droppable: s.Droppable, Step: s.Step,
	}
	for _, m := range s.Members {
		out.Members = append(out.Members, rootKeyMember{m.ID, append([]string{}, m.Keys...), m.Waiting})
	}
	for _, i := range s.Items {
		out.Items = append(out.Items, rootKeyItem{i.Name, append([]string{}, i.Keys...)})
	}
	return out, nil
}
