//! What `/metrics` says, read from the text format.

type Labels = Vec<(String, String)>;

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    series: Vec<(String, Labels, f64)>,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let series = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (series, value) = line
                    .rsplit_once(' ')
                    .unwrap_or_else(|| panic!("no value: {line}"));
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels = labels
                    .trim_end_matches('}')
                    .split("\",")
                    .filter(|label| !label.is_empty())
                    .map(|label| {
                        let (name, value) = label
                            .split_once("=\"")
                            .unwrap_or_else(|| panic!("no label: {line}"));
                        (name.to_owned(), value.trim_end_matches('"').to_owned())
                    })
                    .collect();
                (
                    name.to_owned(),
                    labels,
                    value.parse().unwrap_or_else(|_| panic!("no number: {line}")),
                )
            })
            .collect();
        Self { series }
    }

    /// The sum of all series of that name that have these labels among theirs; 0 when there are none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &[(String, String)]| {
            labels
                .iter()
                .all(|(name, value)| own.iter().any(|(n, v)| n == name && v == value))
        };
        self.series
            .iter()
            .filter(|(own, with, _)| own == name && has(with))
            .map(|(_, _, value)| value)
            .sum()
    }

    /// Whether there is a series of that name with these labels among its own.
    pub(crate) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.series.iter().any(|(own, with, _)| {
            let there = |(name, value): &(&str, &str)| with.iter().any(|(n, v)| n == name && v == value);
            own == name && labels.iter().all(there)
        })
    }

    /// Whether any series has this label with this value.
    pub(crate) fn has_label(&self, name: &str, value: &str) -> bool {
        let mut labels = self.series.iter().flat_map(|(_, labels, _)| labels);
        labels.any(|(n, v)| n == name && v == value)
    }

    /// The sum over the series of that name whose labels the judge takes.
    pub(crate) fn sum_where(&self, name: &str, judge: impl Fn(&dyn Fn(&str) -> String) -> bool) -> f64 {
        self.series
            .iter()
            .filter(|(own, labels, _)| {
                let label = |name: &str| {
                    labels
                        .iter()
                        .find(|(n, _)| n == name)
                        .map(|(_, value)| value.clone())
                        .unwrap_or_default()
                };
                own == name && judge(&label)
            })
            .map(|(_, _, value)| value)
            .sum()
    }
}
