package dashboard

import (
	"bytes"
	"encoding/json"
)

// A Row is a heading with panels beneath it.
type Row struct {
	Title  string
	Panels []Panel
}

// A Panel shows a few queries. Its width is in the 24 columns of Grafana's grid.
type Panel struct {
	Title   string
	Doc     string // what it tells an operator, shown on its corner
	Kind    string // stat, timeseries, state-timeline or table
	Unit    string // of Grafana: s, bytes, reqps, percentunit, short, dateTimeFromNow
	Width   int
	Queries []Query
}

// A Query is PromQL with what its series are called.
type Query struct{ Expr, Legend string }

const (
	columns    = 24
	statHeight = 4
	plotHeight = 8
)

// JSON returns the dashboard as Grafana imports it: the same bytes every time.
func JSON() ([]byte, error) {
	var panels []map[string]any
	y, id := 0, 1
	for _, row := range Rows() {
		panels = append(panels, map[string]any{
			"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{},
			"gridPos": grid(0, y, columns, 1),
		})
		id++
		y++
		x, height := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > columns {
				x, y, height = 0, y+height, 0
			}
			panels = append(panels, p.json(id, grid(x, y, p.Width, p.height())))
			id++
			x += p.Width
			height = max(height, p.height())
		}
		y += height
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(map[string]any{
		"uid": "quis", "title": "quis", "tags": []string{"quis"}, "editable": true, "schemaVersion": 39, "version": 1,
		"timezone": "", "refresh": "30s", "graphTooltip": 1,
		"time":        map[string]any{"from": "now-3h", "to": "now"},
		"annotations": map[string]any{"list": []any{}},
		"templating":  map[string]any{"list": []any{source(), instance()}},
		"panels":      panels,
	})
	return out.Bytes(), err
}

// source is the variable by which the Prometheus is chosen.
func source() map[string]any {
	return map[string]any{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
}

// instance is the variable by which nodes are chosen.
func instance() map[string]any {
	return map[string]any{
		"name": "instance", "label": "Node", "type": "query", "datasource": datasource(),
		"query":      map[string]any{"query": "label_values(quis_build_info, instance)", "refId": "instance"},
		"definition": "label_values(quis_build_info, instance)",
		"refresh":    2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
		"current": map[string]any{"text": "All", "value": "$__all"},
	}
}

func datasource() map[string]any {
	return map[string]any{"type": "prometheus", "uid": "${datasource}"}
}

func grid(x, y, w, h int) map[string]any { return map[string]any{"x": x, "y": y, "w": w, "h": h} }

func (p Panel) height() int {
	if p.Kind == "stat" {
		return statHeight
	}
	return plotHeight
}

func (p Panel) json(id int, pos map[string]any) map[string]any {
	var targets []map[string]any
	for i, q := range p.Queries {
		t := map[string]any{"refId": string(rune('A' + i)), "expr": q.Expr, "legendFormat": q.Legend, "datasource": datasource()}
		if p.Kind == "stat" || p.Kind == "table" {
			t["instant"] = true
		}
		if p.Kind == "table" {
			t["format"] = "table"
		}
		targets = append(targets, t)
	}
	return map[string]any{
		"id": id, "type": p.Kind, "title": p.Title, "description": p.Doc, "gridPos": pos,
		"datasource": datasource(), "targets": targets,
		"fieldConfig": map[string]any{"defaults": p.defaults(), "overrides": []any{}},
		"options":     p.options(),
	}
}

func (p Panel) defaults() map[string]any {
	d := map[string]any{"unit": p.Unit}
	if p.Kind == "timeseries" {
		d["min"] = 0
		d["custom"] = map[string]any{"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}
	}
	return d
}

func (p Panel) options() map[string]any {
	switch p.Kind {
	case "stat":
		return map[string]any{"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}, "colorMode": "none", "graphMode": "none"}
	case "timeseries":
		return map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom"},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		}
	case "state-timeline":
		return map[string]any{"mergeValues": true, "showValue": "never", "rowHeight": 0.8}
	}
	return map[string]any{}
}
