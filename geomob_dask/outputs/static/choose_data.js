// Replaces columns of the sources by the chosen data, and lists their rows on the axis, if there is one (a Bokeh callback).
const data = options[this.value];
for (const [name, source] of Object.entries(sources)) source.data = {...source.data, ...data[name]};
if (axis !== null) axis.factors = Object.values(data)[0].row;
