// Fastforward evaluates rule files over a span of time as Prometheus would, but without waiting.
//
//	fastforward -blocks FOLDER -from UNIX -to UNIX -results FOLDER RULES...
//
// Raw series are read from the blocks of FOLDER, results are kept in a second folder, which is a
// complete TSDB afterwards. Each group is evaluated at its own interval, files and groups in the order
// given, so a later one reads what an earlier one recorded at the same moment. What Alertmanager would
// be told is printed, one JSON object a line: when an alert starts, when it ends.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Longer than any span that is evaluated: nothing is written out or forgotten on the way.
const retention = 1000 * 24 * time.Hour

type event struct {
	At          int64             `json:"at"`
	State       string            `json:"state"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func main() {
	blocks := flag.String("blocks", "", "folder with blocks of raw series")
	results := flag.String("results", "", "folder for what the rules record")
	from := flag.Int64("from", 0, "first evaluation, Unix time")
	to := flag.Int64("to", 0, "last evaluation, Unix time")
	flag.Parse()
	if err := run(*blocks, *results, time.Unix(*from, 0), time.Unix(*to, 0), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "fastforward:", err)
		os.Exit(1)
	}
}

func run(blocks, results string, from, to time.Time, files []string) error {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	raw, err := open(blocks, quiet)
	if err != nil {
		return err
	}
	defer raw.Close()
	recorded, err := open(results, quiet)
	if err != nil {
		return err
	}
	defer recorded.Close()
	raw.DisableCompactions()
	recorded.DisableCompactions()

	both := storage.NewFanout(quiet, recorded, raw)
	groups, err := load(options(recorded, both), files)
	if err != nil {
		return err
	}
	return forward(groups, from, to, recorded.ForceHeadMMap)
}

func open(folder string, log *slog.Logger) (*tsdb.DB, error) {
	options := tsdb.DefaultOptions()
	options.RetentionDuration = retention.Milliseconds()
	return tsdb.Open(folder, log, nil, options, nil)
}

func options(target storage.Appendable, source storage.Queryable) *rules.ManagerOptions {
	loud := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	parse := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parse,
	})
	address, _ := url.Parse("http://localhost")
	out := json.NewEncoder(os.Stdout)
	return &rules.ManagerOptions{
		NameValidationScheme: model.UTF8Validation,
		ExternalURL:          address,
		QueryFunc:            rules.EngineQueryFunc(engine, source),
		NotifyFunc:           func(_ context.Context, _ string, alerts ...*rules.Alert) { tell(out, alerts) },
		Context:              context.Background(),
		Appendable:           target,
		Queryable:            source,
		Logger:               loud,
		// Each alert is sent when it starts and when it ends, and never in between.
		ResendDelay: retention,
		Parser:      parse,
	}
}

func tell(out *json.Encoder, alerts []*rules.Alert) {
	for _, alert := range alerts {
		at, state := alert.FiredAt, "firing"
		if !alert.ResolvedAt.IsZero() {
			at, state = alert.ResolvedAt, "resolved"
		}
		if err := out.Encode(event{at.Unix(), state, alert.Labels.Map(), alert.Annotations.Map()}); err != nil {
			panic(err)
		}
	}
}

func load(options *rules.ManagerOptions, files []string) ([]*rules.Group, error) {
	manager := rules.NewManager(options)
	var groups []*rules.Group
	for _, file := range files {
		named, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
		if errs != nil {
			return nil, fmt.Errorf("%s: %v", file, errs)
		}
		// The manager's map has lost the order of the file.
		content, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, options.Parser, options.Logger)
		if errs != nil {
			return nil, fmt.Errorf("%s: %v", file, errs)
		}
		for _, group := range content.Groups {
			groups = append(groups, named[rules.GroupKey(file, group.Name)])
		}
	}
	return groups, nil
}

func forward(groups []*rules.Group, from, to time.Time, tidy func()) error {
	step := groups[0].Interval()
	for _, group := range groups {
		step = min(step, group.Interval())
	}
	for at := from; !at.After(to); at = at.Add(step) {
		if at.Sub(from)%(10*time.Hour) == 0 {
			tidy() // A server does so once a minute: full chunks in memory are searched one by one.
		}
		for _, group := range groups {
			if at.Sub(from)%group.Interval() != 0 {
				continue
			}
			group.Eval(context.Background(), at)
			for _, rule := range group.Rules() {
				if err := rule.LastError(); err != nil {
					return fmt.Errorf("%s at %d: %s: %w", group.Name(), at.Unix(), rule.Name(), err)
				}
			}
		}
	}
	return nil
}
