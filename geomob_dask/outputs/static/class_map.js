// Actual and predicted classes of units: two maps of the same source, and predictions of one model at a time.
function class_map(data, {model}) {
  const {labels, classes, colors} = data, select = model("predictions"), source = model("actual").data_source;
  const outcome = unpack(data.outcome), actual = unpack(data.actual);
  const shapes = data.polygons ? polygons(data.polygons) : {xs: unpack(data.x), ys: unpack(data.y)};
  const fixed = {xs: shapes.xs, ys: shapes.ys, label: labels, outcome};
  fixed.actual = Array.from(actual, (one) => classes[one]);
  fixed.actual_color = Array.from(actual, (one) => colors[one]);
  const {xs, ys} = polygons(data.others);
  for (const name of ["others of actual", "others of predicted"]) model(name).data_source.data = {xs, ys};
  function show() {
    const predicted = unpack(data.choices[select.value].predicted), shares = unpack(data.choices[select.value].shares);
    const one = (i) => classes.map((name, k) => `${name} ${(shares[i * classes.length + k] / 100).toFixed(2)}`);
    source.data = {...fixed, predicted: Array.from(predicted, (one) => classes[one]),
      color: Array.from(predicted, (one) => colors[one]), probabilities: Array.from(predicted, (_, i) => one(i).join(", "))};
    const right = predicted.filter((one, i) => one === actual[i]).length;
    model("count").text = `<b>${right.toLocaleString("en-US")}</b> of ${actual.length.toLocaleString("en-US")} units drawn ` +
      `are classified correctly (${(100 * right / actual.length).toFixed(1)}%)`;
  }
  select.properties.value.change.connect(show);
  show();
}
