// Actual and predicted classes of units: two maps that move together, predictions of one model at a time.
async function class_map(data) {
  const {scale, choices, extent, insets, missing} = data, select = element(data.list);
  const labels = await unpackJson(data.labels);
  const [outcome, actual] = [await unpackNumbers(data.outcome), await unpackNumbers(data.actual)];
  const predictions = {};
  for (const [title, {predicted, shares}] of Object.entries(choices)) {
    predictions[title] = {predicted: await unpackNumbers(predicted), shares: await Promise.all(shares.map(unpackNumbers))};
  }
  const chosen = () => predictions[select.value];
  // Units of the study are first; the others have no value.
  const valuesOf = (numbers) => Float64Array.from({length: data.count}, (_, i) => i < labels.length ? numbers.at(i) : NaN);
  function describe(i) {
    if (i >= labels.length) return {title: "Not in the study", lines: []};
    const {predicted, shares} = chosen();
    return {title: labels[i], lines: [{label: data.title, text: outcome.text(i)}, {label: "actual", text: scale.labels[actual.at(i)]},
      {label: "predicted", text: scale.labels[predicted.at(i)]},
      {label: "probabilities", text: scale.labels.map((name, k) => `${name} ${shares[k].text(i)}`).join(", ")}]};
  }
  const block = await unpackPolygons(bytesOfBase64(data.polygons));
  const borders = await Promise.all(data.borders.map(async ({kind, lines}) => ({kind, lines: await unpackPolygons(bytesOfBase64(lines))})));
  const maps = ["actual", "predicted"].map((name) => {
    const box = element(`map-${name}`), caption = box.closest("figure").querySelector("figcaption");
    const map = new TractMap(box, {label: caption.textContent, describe, extent, insets, missing, wheel: "ctrl"});
    map.setScale(scale);
    map.setValues(valuesOf(name === "actual" ? actual : chosen().predicted));
    const texts = {title: data.title, missingNote: data.count > labels.length ? "not in the study" : null, noun: "unit"};
    map.showLegend(element(`map-${name}-legend`), {...texts, title: ""});
    offerFiles(map, () => map.legend(texts));
    map.setBlocks([block]);
    map.setBorders(borders);
    return map;
  });
  maps[0].linkView(maps[1]);
  const title = element("map-predicted").closest("figure").querySelector("figcaption"), plain = title.textContent;
  function show() {
    const {predicted} = chosen();
    maps[1].setValues(valuesOf(predicted));
    const right = labels.filter((_, i) => predicted.at(i) === actual.at(i)).length;
    title.textContent = `${plain}: ${number(right)} of ${number(labels.length)} units drawn are classified correctly ` +
      `(${(100 * right / labels.length).toFixed(1)}%)`;
  }
  select.addEventListener("change", show);
  show();
  await Promise.all(maps.map((map) => map.ready));
}
