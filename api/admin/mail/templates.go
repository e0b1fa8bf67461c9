package mail

import (
	"github.com/quis-idp/quis/identity/notify/letter"
)

func (a *api) templates() []route {
	return []route{
		{Method: "GET", Path: "/mail/templates", Op: "listMailTemplates", Summary: "List the letters that people may be sent.", Do: handle(a.listTemplates)},
		{Method: "GET", Path: "/mail/templates/{name}/preview", Op: "previewMail", Summary: "Show a letter with made-up data.", Do: handle(a.preview)},
	}
}

type template struct {
	Name    string `json:"name" doc:"Name of the letter."`
	Subject string `json:"subject" doc:"Its subject, in the tenant's language."`
}

func (template) SchemaName() string { return "MailTemplate" }

func (a *api) listTemplates(c *call, _ *none) (*page[template], error) {
	out := &page[template]{Data: []template{}}
	for _, n := range letter.Names() {
		l, err := a.cfg.Mail.Preview(c.Ctx, c.Tenant, n, "")
		if err != nil {
			return nil, err
		}
		out.Data = append(out.Data, template{string(n), l.Subject})
	}
	return out, nil
}

type previewIn struct {
	Name   string `path:"name" max:"64" doc:"Name of the letter."`
	Locale string `query:"locale" max:"35" doc:"Language (BCP 47); without it, the tenant's."`
}

type preview struct {
	Language string `json:"language" doc:"That it is in: the nearest there is."`
	Subject  string `json:"subject" doc:"Subject."`
	Text     string `json:"text" doc:"As plain text."`
	HTML     string `json:"html" doc:"As HTML. Show it in a frame without scripts."`
}

func (preview) SchemaName() string { return "MailPreview" }

func (a *api) preview(c *call, in *previewIn) (*preview, error) {
	l, err := a.cfg.Mail.Preview(c.Ctx, c.Tenant, letter.Name(in.Name), in.Locale)
	if err != nil {
		return nil, err
	}
	return &preview{l.Language, l.Subject, l.Text, l.HTML}, nil
}
