// Says after a wrong token that it was wrong.
document.getElementById("wrong").hidden = location.search !== "?wrong";
