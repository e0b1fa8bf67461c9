package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// describePath is where the server describes itself; it stands beside the API's version.
const describePath = "/api/openapi.json"

// A description is the part of an OpenAPI document that tells what bodies hold.
type description struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				} `json:"schema"`
			} `json:"content"`
		} `json:"requestBody"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

// itemFieldsOf returns the fields of the entries of a list in the body of one route.
func (c *Client) itemFieldsOf(ctx context.Context, path, method, list string) (map[string]Field, error) {
	d, properties, err := c.describe(ctx, path, method)
	if err != nil {
		return nil, err
	}
	var of struct {
		Items struct {
			Ref string `json:"$ref"`
		} `json:"items"`
	}
	if err := json.Unmarshal(properties[list], &of); err != nil {
		return nil, fmt.Errorf("the server's description of %s %s has no list of %s: %w", method, path, list, err)
	}
	fields := map[string]Field{}
	d.collect(fields, "", d.Components.Schemas[strings.TrimPrefix(of.Items.Ref, "#/components/schemas/")].Properties)
	return fields, nil
}

// fieldsOf returns the fields of the body of one route. Those of an object within it are
// named field.part.
func (c *Client) fieldsOf(ctx context.Context, path, method string) (map[string]Field, error) {
	d, properties, err := c.describe(ctx, path, method)
	if err != nil {
		return nil, err
	}
	fields := map[string]Field{}
	d.collect(fields, "", properties)
	return fields, nil
}

// describe returns the description, and the properties of the body of one route.
func (c *Client) describe(ctx context.Context, path, method string) (*description, map[string]json.RawMessage, error) {
	var d description
	if _, err := c.call(ctx, http.MethodGet, describePath, request{house: true}, &d); err != nil {
		return nil, nil, err
	}
	ref := d.Paths[path][method].RequestBody.Content["application/json"].Schema.Ref
	schema, ok := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	if !ok {
		return nil, nil, fmt.Errorf("the server's description has no body of %s %s", method, path)
	}
	return &d, schema.Properties, nil
}

// collect adds properties to fields; one that is an object by reference, part by part.
// Schemas of requests do not refer to themselves: parts are one deep.
func (d *description) collect(fields map[string]Field, prefix string, properties map[string]json.RawMessage) {
	for name, raw := range properties {
		var f struct {
			Field
			Ref string `json:"$ref"`
		}
		if json.Unmarshal(raw, &f) != nil {
			f.Field = Field{} // something newer: the server will say what is wrong with a value
		}
		inner, ok := d.Components.Schemas[strings.TrimPrefix(f.Ref, "#/components/schemas/")]
		if ok && prefix == "" {
			d.collect(fields, name+".", inner.Properties)
			continue
		}
		fields[prefix+name] = f.Field
	}
}
