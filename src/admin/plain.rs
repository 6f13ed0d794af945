//! Metrics for those who do not read `OpenMetrics`.

/// Writes `OpenMetrics` 1.0 as the text format before it (0.0.4) has it: there the name of a counter and of an info
/// is that of its samples, other types have other names, and neither units nor an end are told.
pub(super) fn plain(open_metrics: &str) -> String {
    let mut types = Vec::new();
    for line in open_metrics.lines() {
        if let Some((name, of)) = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '))
        {
            types.push((name, of));
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what), name, rest) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            // No sample has an exemplar, which that format does not know.
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (Some(name), "HELP" | "TYPE") = (name, what) else {
            continue;
        };
        let of = types.iter().find(|it| it.0 == name).map_or("", |it| it.1);
        let (suffix, of) = match of {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            "unknown" => ("", "untyped"),
            of => ("", of),
        };
        let rest = match what {
            "TYPE" => of,
            _ => rest.unwrap_or_default(),
        };
        text.push_str(&format!("# {what} {name}{suffix} {rest}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_open_metrics_is_read_by_those_who_read_only_that() {
        let open = "# HELP a_calls How many.\n# TYPE a_calls counter\n# UNIT a_calls calls\n\
                    a_calls_total{path=\"/a # b\"} 1\n# HELP a_build What.\n# TYPE a_build info\na_build_info{v=\"1\"} 1\n\
                    # HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n\
                    # HELP a_thing Some.\n# TYPE a_thing unknown\na_thing 1\n# EOF\n";
        let want = "# HELP a_calls_total How many.\n# TYPE a_calls_total counter\n\
                    a_calls_total{path=\"/a # b\"} 1\n# HELP a_build_info What.\n# TYPE a_build_info gauge\na_build_info{v=\"1\"} 1\n\
                    # HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n\
                    # HELP a_thing Some.\n# TYPE a_thing untyped\na_thing 1\n";
        assert_eq!(plain(open), want);
    }
}
