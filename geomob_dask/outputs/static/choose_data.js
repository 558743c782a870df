// Gives the chosen option's data to the sources of plots, and what they show then to their descriptions.
function choose_data({list, options}, {model}) {
  const select = element(list);
  const show = () => {
    const {sources, findings} = options[select.selectedIndex];
    for (const [name, columns] of Object.entries(sources)) model(name).data = {...model(name).data, ...columns};
    for (const [plot, finding] of Object.entries(findings)) element(plot).setAttribute("aria-label", finding);
  };
  select.addEventListener("change", show);
  show();
}
